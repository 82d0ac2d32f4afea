"""audit: measure the accuracy of target models and what they reveal about their training records."""
