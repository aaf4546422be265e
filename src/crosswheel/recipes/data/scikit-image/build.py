from builder import package_build

# Pythran's headers want C++17 since after this release, which asks for C++14.
package_build.build_package(config_settings={"setup-args": "-Dcpp_std=c++17"})
