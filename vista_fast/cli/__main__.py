import sys

from vista_fast.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
