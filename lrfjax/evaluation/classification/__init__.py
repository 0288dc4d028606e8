"""What an ImageNet classifier still recognises in decoded images."""
