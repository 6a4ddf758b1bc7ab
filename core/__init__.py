"""The ground floor: values, states, ports and the console. It imports no other floor."""
