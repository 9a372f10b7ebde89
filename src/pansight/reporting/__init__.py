"""What an evaluation says, for people: tables for a terminal, one self-contained HTML page for a browser."""
