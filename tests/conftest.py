"""What holds for every test.

Property tests draw the same examples in every run, and however busy the machine is, none of them
fails for being slow. To search further than that: `pytest --hypothesis-profile=search`.
"""

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=2000, deadline=None)
settings.load_profile("repeatable")
