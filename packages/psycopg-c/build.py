from builder import package_build

# The package psycopg chooses it, and nothing else imports it.
package_build.build_package(libraries=["libpq"], tests=["test_connection.py"], test_requires=["psycopg"])
