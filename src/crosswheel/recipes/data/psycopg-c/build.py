from builder import package_build

# The package psycopg chooses it, and nothing else imports it.
reason = "it insists on psycopg being imported first; the test does that"
package_build.build_package(
    tests=["test_connection.py"],
    test_requires=["psycopg"],
    skip_imports={"psycopg_c._psycopg": reason, "psycopg_c.pq": reason},
)
