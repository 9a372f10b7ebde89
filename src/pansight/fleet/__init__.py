"""Archives too large for one machine: labelling and scoring on a Ray cluster.

`pansight predict INPUT --engine ray --output DIR` is the way in; `pansight.fleet.labelling.Labelling` is the
same thing in Python. Needs the extra `fleet`.
"""
