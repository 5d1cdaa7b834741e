proto: .tools/.stamp  ## generate the Python stubs in libs/ from protos/
	.tools/bin/python deploy/stubs.py

.tools/.stamp: deploy/tools.txt
	python3 -m venv .tools
	.tools/bin/pip install --quiet -r deploy/tools.txt
	touch $@
