class libproton:
    @staticmethod
    def init_function_metadata(function, name, scopes, parents, path):
        pass

    @staticmethod
    def enter_instrumented_op(stream, function, pointer, size):
        pass

    @staticmethod
    def exit_instrumented_op(stream, function, pointer, size):
        pass


class InstrumentationHook:
    def __init__(self, mode):
        self.mode, self.buffer, self.metadata_path = mode, None, {}

    def init_handle(self, module, function, name, metadata_group, hash):
        self.metadata_path[function] = metadata_group["k.json"]
        libproton.init_function_metadata(function, name, list(metadata_group["k.ttgir"].items()), [], "")

    def enter(self, metadata):
        libproton.enter_instrumented_op(metadata.data["stream"], metadata.data["function"], 0, 0)

    def exit(self, metadata):
        libproton.exit_instrumented_op(metadata.data["stream"], metadata.data["function"], 0, 0)
