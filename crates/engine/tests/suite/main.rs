mod engine;
mod fake_node;
