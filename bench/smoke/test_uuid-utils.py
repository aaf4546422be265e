"""Identifiers agree with those of the standard library, and those of version 7 sort by their time."""

import uuid

import uuid_utils

space = uuid_utils.NAMESPACE_DNS
assert str(uuid_utils.uuid5(space, "robot.local")) == str(uuid.uuid5(uuid.NAMESPACE_DNS, "robot.local"))
made = [uuid_utils.uuid7() for _ in range(50)]
assert made == sorted(made)
assert len(set(made)) == 50
assert uuid_utils.UUID(str(made[0])).bytes == made[0].bytes
