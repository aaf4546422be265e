"""PortAudio starts and lists its devices."""

import sounddevice

assert sounddevice.get_portaudio_version()[0] > 0
assert len(sounddevice.query_devices()) >= 0
