class driver:
    class active:
        @staticmethod
        def get_current_device():
            return 0

        class utils:
            @staticmethod
            def get_device_properties(device):
                return {"sm_clock_rate": 1980000}
