"""A ball falls, bounces off the floor and comes to rest."""

import pymunk

space = pymunk.Space()
space.gravity = (0, -100)
floor = pymunk.Segment(space.static_body, (-100, 0), (100, 0), 1)
ball = pymunk.Body(1, pymunk.moment_for_circle(1, 0, 5))
ball.position = (0, 50)
circle = pymunk.Circle(ball, 5)
floor.elasticity = circle.elasticity = 0.5
space.add(floor, ball, circle)
for _ in range(2000):
    space.step(0.01)
assert abs(ball.position.y - 6) < 0.5
assert space.point_query_nearest((0, 30), 100, pymunk.ShapeFilter()).shape is circle
