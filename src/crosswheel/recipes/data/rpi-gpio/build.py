from builder import package_build

# It has functions inside functions, which only GCC understands.
package_build.build_package(
    patches=["nested-functions.patch"],
    skip_imports={"RPi._GPIO": "it looks for a Raspberry Pi's processor when it is imported"},
    tests=["test_board.py"],
)
