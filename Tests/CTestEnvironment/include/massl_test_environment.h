// Nothing to call: what is linked with this runs in the environment of a compute class. See the source.
