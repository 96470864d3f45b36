"""Who a user name stands for, and which logins need not be asked about."""
