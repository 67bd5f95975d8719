"""The same JSON served by Flask: python3 flask_app.py PORT FILE. Each response serialises an object in memory."""

import json
import logging
import sys
from pathlib import Path

from flask import Flask, jsonify

logging.getLogger("werkzeug").setLevel(logging.ERROR)
app = Flask(__name__)
HISTORY = json.loads(Path(sys.argv[2]).read_text())


@app.get("/instruments/<name>")
def instruments(name):
    return jsonify(HISTORY)


app.run(port=int(sys.argv[1]), threaded=True)
