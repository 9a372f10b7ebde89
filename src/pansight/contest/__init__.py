"""The contest for pixels: which mask has the largest score * probability, and how many pixels each wins.

`dense` looks at every mask at every pixel with operations of fixed shape, so that it compiles, exports and
keeps an accelerator busy. `pruned` first finds out where there is nothing to decide; it is many times faster
on a CPU. Both give the same answer and never hold more than a tile of the enlarged masks.
"""
