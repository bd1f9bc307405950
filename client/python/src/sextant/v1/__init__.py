"""The messages of the service (proto/sextant/v1): what every wrapper's `.message` is made of."""
