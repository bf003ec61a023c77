include $(sort $(wildcard $(BR2_EXTERNAL_SONOTAP_PATH)/package/*/*.mk))
