"""Model fusion: several models answer as one, or one net has the mean of their weights."""
