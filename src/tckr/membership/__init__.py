"""Membership inference: query runs about records, attack their answers, check the attacks, and judge the results."""
