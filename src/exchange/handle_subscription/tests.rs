//! Subscriptions inside the gateway, with a clock that is turned by hand: timers, and what each step writes.
