"""`python -m bench tune`: what is fastest on this device, in one sitting.

Needs torch, numpy, pyyaml and safetensors alone, so that it runs on a bare GPU host.
"""
