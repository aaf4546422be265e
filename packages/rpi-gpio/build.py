from builder import package_build

package_build.build_package(
    skip_imports={"RPi._GPIO": "it looks for a Raspberry Pi's processor when it is imported"},
    tests=["test_board.py"],
)
