"""What runs read and made: data and models, as they told."""
