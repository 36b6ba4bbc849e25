"""What comes in, checked strictly, and the spelling of ids, instants and cursors."""
