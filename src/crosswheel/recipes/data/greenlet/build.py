from builder import package_build

# At -O1 and above clang keeps values in registers that a switch of stacks does not save: the module loads,
# and crashes on the first switch.
package_build.build_package(optimize="s", tests=["test_switch.py"])
