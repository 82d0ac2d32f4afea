"""Membership inference: ask runs about records, attack what they answer, check the attacks, and judge what was found."""
