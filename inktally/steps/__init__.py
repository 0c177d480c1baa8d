"""The steps of one delivery, over the ports. Each may be repeated at will: what is done is found, not redone."""
