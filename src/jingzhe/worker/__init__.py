"""What goes on in the background: ``loop`` drains the inbox, refreshes profiles and keeps the lake in few files."""
