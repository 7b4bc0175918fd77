"""The former name of `config.schema.data`, for code that still imports from here."""

from infomcr_cli.config.schema.data import AugmentConfig as AugmentConfig
from infomcr_cli.config.schema.data import DataConfig as DataConfig
