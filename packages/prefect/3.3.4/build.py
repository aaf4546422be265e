from builder import package_build

package_build.build_package(
    source=package_build.github_source(
        org="PrefectHQ",
        repo="prefect",
        tag="3.3.4",
        git_tree="edf20f9942d30b2560f496bc9a7d9f0b65a5089c",
        submodules={"compat-tests": "3c5ec0111e2aa7b160f2b21cfd383d19448dfe13"},
    ),
    fallback=package_build.pypi_source(name="prefect", version="3.3.4"),
    # Two weeks after the release. Newer dependencies break it: FastAPI dropped Body(min_items=…).
    as_of="2025-04-25",
)
