"""Users of each door. Modules without Locust in them build requests and check answers; the others send them."""
