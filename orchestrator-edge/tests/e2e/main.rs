//! End to end: a real client, the edge, the core and a scripted provider, over sockets. Every suite runs over both channels:
//! the core embedded in the edge, and the edge before a core behind the network.

mod client;
mod gateway;

mod first_answer;
