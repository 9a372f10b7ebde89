"""Video: sources that never die, identities that last, results in any form."""
