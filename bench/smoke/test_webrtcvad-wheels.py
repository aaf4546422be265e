"""Silence holds no speech."""

import webrtcvad

detector = webrtcvad.Vad(3)
assert webrtcvad.valid_rate_and_frame_length(16000, 320)
assert not webrtcvad.valid_rate_and_frame_length(16000, 321)
assert detector.is_speech(bytes(640), 16000) is False
