//! `yilian-node`: makes a node's home and the genesis, runs the node, and looks after it.

fn main() -> std::process::ExitCode {
    yilian_node::cli::main()
}
