from web.hooks.__main__ import main  # python -m web

if __name__ == "__main__":
    raise SystemExit(main())
