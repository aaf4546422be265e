from builder import package_build

# Clang takes for an error what only a 32-bit machine has, and GCC warns of. Optimised at link time, an exception of
# FreeType's module is not caught.
package_build.build_package(
    libraries=["freetype", "qhull"],
    config_settings={
        "setup-args": "-Dsystem-freetype=true -Dsystem-qhull=true -Dcpp_args=-Wno-c++11-narrowing -Db_lto=false"
    },
    skip_imports={"matplotlib.backends._tkagg": "it wants Tk, which a robot has not"},
)
