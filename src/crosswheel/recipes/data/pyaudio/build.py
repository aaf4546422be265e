from builder import package_build

package_build.build_package(libraries=["portaudio"], tests=["test_portaudio.py"])
