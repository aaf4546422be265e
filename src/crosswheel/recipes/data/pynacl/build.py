from builder import package_build

# It would run the tests of its libsodium on the machine that builds.
package_build.build_package(environment={"LIBSODIUM_MAKE_ARGS": "TESTS= check_PROGRAMS="})
