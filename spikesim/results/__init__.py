"""What runs measure, as typed documents."""
