"""Networks that are kept up: `helsewan up`, and what another terminal does with one."""
