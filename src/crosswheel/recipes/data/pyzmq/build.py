from builder import package_build

package_build.build_package(
    libraries=["libzmq"],
    environment={"PYZMQ_NO_BUNDLE": "1", "PYZMQ_LIBZMQ_RPATH": "OFF"},
    tests=["test_messages.py"],
)
