"""Long runs that try to break what is promised: ``make torture``.

Each prints its seed, which EVENTUARY_SEED gives again, and where it stands every few seconds, and
ends by itself. EVENTUARY_TORTURE_SHARE=0.1 makes all of them a tenth as long. The judges have tests
of their own in the ordinary suite (test_judges.py).
"""
