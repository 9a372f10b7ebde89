"""Painting masks over one another by rank: which of them are accepted, and which pixels each one owns.

A mask is dropped when accepted masks before it hold too much of it. Pairs do not decide that, the union does,
so a plain loop paints one mask after the other. Here all masks are judged at once, again and again, until
nothing changes (see `pansight.nn.settling`): what a judgement needs is the first accepted mask at each pixel.

`dense` does so with operations of fixed shape, so that it compiles, exports and keeps an accelerator busy.
`pruned` looks only where masks end or overlap, and at stretches of equal pixels instead of pixels; it is many
times faster on a CPU. Both give the same answer and never hold more than a tile of the enlarged masks.
"""
