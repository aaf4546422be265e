from builder import package_build

# Its solver for NEON computes with doubles, which only the NEON of 64-bit machines does; there is another one.
package_build.build_package(environment={"CFLAGS": "-U__ARM_NEON__"})
