// Which tests run by themselves and which only when asked for: a network with 100 million parameters takes a minute.

/** Set `THOROUGH=1` to run every golden file and every network; a folder in GOLDEN_DIR is always checked whole. */
export const isThorough = (process.env.THOROUGH ?? '') !== '';
