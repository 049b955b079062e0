/** Version of this program, as it tells control planes and /server_info. */
export const VERSION = "0.1.0";
