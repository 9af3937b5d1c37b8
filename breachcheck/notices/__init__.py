"""What people are told of the service: maintenance ahead of time, and trouble when it comes."""
